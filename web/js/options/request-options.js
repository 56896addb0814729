/** From what the user chose to the fields of a request. */

const MOST_BEAMS = 8;

export const STYLES = {
  standard: ["As the model does best", "Its own settings."],
  quick: ["Quick", "Looks ahead less."],
  thorough: ["Thorough", "Weighs more ways to put it; slower."],
  varied: ["Varied", "Picks its words more freely: less alike, less certain."],
};

/**
 * @param {Object} choice see panel.js
 * @param {Object} limits an option's schema by its name
 */
export function requestFields(choice, limits = {}) {
  const fields = { num_captions: choice.count };
  const most = limits.num_beams?.maximum ?? MOST_BEAMS;
  // With more captions than the widest search has beams, the server chooses.
  // The matcher chooses: it needs at least two.
  const fewest = choice.rerank ? Math.max(2, choice.count) : choice.count;
  if (choice.style === "quick" && choice.count <= most) fields.num_beams = fewest;
  if (choice.style === "thorough" && choice.count <= most) fields.num_beams = most;
  if (choice.style === "varied") {
    fields.temperature = choice.temperature;
    fields.top_p = 0.9;
    // Told to the server, so that asking again where the model looked gives the same captions.
    fields.seed = choice.seed;
  }
  if (choice.longest) fields.max_length = choice.longest;
  if (choice.prompt) fields.prompt = choice.prompt;
  if (choice.rerank) fields.rerank = true;
  return fields;
}
