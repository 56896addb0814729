/** Errors for people: what failed, why, and what to do about it. */

export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 where there was no answer at all
   * @param {Object} problem the server's problem details (RFC 9457)
   * @param {number|null} retryAfter seconds that the server asks to wait
   */
  constructor(status, problem, retryAfter = null) {
    super(problem.detail || problem.title || `The server answered ${status}.`);
    this.status = status;
    this.kind = String(problem.type ?? "").split("/").pop();
    this.title = problem.title || (status ? `Error ${status}` : "No connection");
    this.requestId = problem.request_id ?? null;
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may well succeed a moment later. */
  get passing() {
    return [408, 429, 503].includes(this.status);
  }
}

export const unreachable = () =>
  new ApiError(0, {
    type: "/problems/unreachable",
    title: "The server cannot be reached",
    detail: "There was no answer.",
  });

const ADVICE = {
  "unreachable": "Check your connection and that Captionbox is running, then try again.",
  "unauthorized": "Try again and enter a key that this server accepts.",
  "forbidden": "Ask whoever runs this server.",
  "unknown-model": "Reload the page: the server's models have changed.",
  "no-matcher": "Reload the page: the server no longer ranks texts.",
  "too-large": "Leave “Shrink large pictures before sending” on under “More options”, or use a smaller file.",
  "unsupported-image": "Save it as JPEG or PNG and add it again.",
  "broken-image": "Open it elsewhere to see whether it is whole, save it anew and add it again.",
  "too-many-pixels": "Leave “Shrink large pictures before sending” on under “More options”, or use a smaller picture.",
  "urls-not-allowed": "Save the picture and add the file.",
  "url-refused": "Check the address, or save the picture and add the file.",
  "url-answer": "Check the address: it has to lead to the picture itself, not to a page that shows it.",
  "url-unreachable": "Check the address, or save the picture and add the file.",
  "url-timeout": "Try again, or save the picture and add the file.",
  "unsupported-option": "Choose another style under “More options”, or another model.",
  "invalid-request": "Change what is chosen under “More options” and try again.",
  "too-many-requests": "The server is busy. Try again in a moment.",
  "overloaded": "The server is busy. Try again in a moment.",
  "engine-unavailable": "The server is starting up. Try again in a moment.",
  "not-ready": "The server is starting up. Try again in a moment.",
  "timeout": "The server is busy. Try again in a moment.",
};

/** What failed and why, and what to do about it. */
export function explain(error) {
  const advice = ADVICE[error.kind] ?? "Try again. If it happens again, tell whoever runs this server.";
  return `${error.message} ${advice}`;
}

/** Return `error` if it came from the server, else an `ApiError` for what went wrong here. */
export function asApiError(error) {
  if (error instanceof ApiError) return error;
  console.error(error);
  return new ApiError(0, { title: "Something went wrong on this page", detail: String(error) });
}
