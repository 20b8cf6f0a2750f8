// Judge a recording that the user drops or chooses.

import { analysis, infer, TABLE_TYPE } from "./api.js";
import { part } from "./dom.js";
import { modalityOf } from "./modalities.js";
import { complain, reveal, sentenceOf } from "./notices.js";
import { renamed, save } from "./saving.js";

const LONG = 1.25; // windows: a longer recording has a course
const HOP_S = 1;
const MOST_WINDOWS = 120; // each costs the service as much as a short recording

/**
 * @param {any} model as the service describes it
 * @param {File[]} files one, or those of the modalities of one recording
 * @param {import("./result.js").Result} result
 * @param {() => boolean} isCurrent false once the user has begun something else
 * @returns {Promise<void>} once the answer is shown; the course and the picture follow
 */
export async function judgeClip(model, files, result, isCurrent) {
  const name = files.map((file) => file.name).join(" + ");
  result.clear(`Judging ${name} \u2026`);
  reveal();
  const sent = performance.now();
  const text = await (await infer(model.name, files)).text();
  const latency = performance.now() - sent;
  if (!isCurrent()) return;
  const { predictions, warnings } = JSON.parse(text);
  const [answer] = predictions;
  result.show(answer, `${name}, ${(answer.end - answer.start).toFixed(2)} s`, {
    facts: { "Answered in": `${Math.round(latency)} ms` },
    notes: warnings,
  });
  result.offer({
    json: () => save(new Blob([text], { type: "application/json" }), renamed(files[0].name, "json")),
    table: () => saveTable(model, files),
  });
  const isLong = answer.end - answer.start > LONG * model.window_s;
  if (isLong) addCourse(model, files, answer.end, result, isCurrent);
  if (model.modalities.includes("audio")) addAnalysis(model, files, isCurrent);
}

async function saveTable(model, files) {
  try {
    const response = await infer(model.name, files, { type: TABLE_TYPE });
    save(await response.blob(), renamed(files[0].name, "parquet"));
  } catch (error) {
    complain(error);
  }
}

/** The recording again, window by window. */
async function addCourse(model, files, seconds, result, isCurrent) {
  const segment = model.window_s;
  const hop = Math.max(Math.min(HOP_S, segment / 2), seconds / MOST_WINDOWS);
  try {
    const response = await infer(model.name, files, { segment, hop: Number(hop.toFixed(2)) });
    const { predictions } = await response.json();
    const points = predictions.map((answer) => ({ at: (answer.start + answer.end) / 2, answer }));
    if (isCurrent()) result.showCourse(points, [0, seconds], "Probability of each class, in the middle of each window.");
  } catch (error) {
    if (isCurrent()) complain(error);
  }
}

async function addAnalysis(model, files, isCurrent) {
  const [picture, note] = [part("analysis"), part("analysis-note")];
  part("analysis-part").hidden = false;
  picture.hidden = true;
  note.hidden = false;
  note.textContent = "Drawing \u2026";
  try {
    const audio = files.find((file) => modalityOf(file) === "audio") ?? files[0];
    const drawn = await analysis(model.name, [audio]);
    if (!isCurrent()) return;
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(drawn);
    picture.alt = `Waveform, mel spectrogram, MFCC and chroma of ${audio.name} over time`;
    picture.hidden = false;
    note.hidden = true;
  } catch (error) {
    if (isCurrent()) note.textContent = sentenceOf(error);
  }
}
