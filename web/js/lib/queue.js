/** Runs jobs, a bounded number at a time, in the order they came. */

export class Queue {
  #limit;
  #waiting = [];
  #running = new Set();

  /** @param {number} limit most jobs at a time */
  constructor(limit) {
    this.#limit = limit;
  }

  /**
   * @param {(signal: AbortSignal) => Promise} work
   * @param {*} owner whose job it is, for `cancel`
   * @returns {Promise} settles with the job; rejects with an AbortError when it is cancelled
   */
  add(work, owner = null) {
    return new Promise((resolve, reject) => {
      const control = new AbortController();
      this.#waiting.push({ work, owner, control, resolve, reject });
      this.#next();
    });
  }

  /** Cancel the jobs of an owner, or all. */
  cancel(owner = undefined) {
    const meant = (job) => owner === undefined || job.owner === owner;
    const dropped = this.#waiting.filter(meant);
    this.#waiting = this.#waiting.filter((job) => !meant(job));
    for (const job of dropped) job.reject(new DOMException("cancelled", "AbortError"));
    for (const job of this.#running) if (meant(job)) job.control.abort();
  }

  #next() {
    while (this.#running.size < this.#limit && this.#waiting.length) {
      const job = this.#waiting.shift();
      this.#running.add(job);
      // `then` first: a job that throws at once is a job that failed.
      Promise.resolve(job.control.signal).then(job.work).then(job.resolve, job.reject).finally(() => {
        this.#running.delete(job);
        this.#next();
      });
    }
  }
}
