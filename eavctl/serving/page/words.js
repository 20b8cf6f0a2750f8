// Numbers and facts of an answer in words.

/** 0.924 as "92 %". The space does not break. */
export function percent(share) {
  return `${Math.round(share * 100)}\u00a0%`;
}

/** A window: "3.0 to 7.6 s". */
export function period({ start, end }) {
  const text = (seconds) => Math.abs(seconds).toFixed(1); // the first may begin at -0.0
  return `${text(start)} to ${text(end)} s`;
}

/** 75.3 as "1:15". */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** ["a", "b", "c"] as "a, b and c". */
export function listed(names) {
  if (names.length < 2) return names.join("");
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/**
 * On which recordings the accuracy of answers was measured.
 * @param {{held_out?: string | null, datasets?: string[], adapted_by?: string}} measured
 */
export function measuredOn(measured) {
  const names = measured.datasets ?? [];
  if (isCrossCorpus(measured)) {
    return `recordings from elsewhere (${names.length} data sets, each held out)`;
  }
  const what = measured.held_out === "subject" ? "held-out speakers" : "held-out recordings";
  if (names.length === 0) return `${what} of the training data`;
  return `${what} of the data set${names.length > 1 ? "s" : ""} ${names.join(", ")}`;
}

/** Whether each data set was held out in turn, so that the figures hold for recordings from elsewhere. */
export function isCrossCorpus(measured) {
  return measured.held_out === "dataset" && (measured.datasets ?? []).length > 1;
}

/** {eeg: 0.12, audio: 0} as "eeg 0.12 s". */
export function missing(gaps) {
  return Object.entries(gaps)
    .filter(([, seconds]) => seconds >= 0.005)
    .map(([modality, seconds]) => `${modality} ${seconds.toFixed(2)} s`)
    .join(", ");
}

/** A modality that was not used, with the reason: "eeg (stalled for 1.2 s)". */
export function absence({ name, reason, share = 1 }) {
  const part = share < 1 ? ` in ${percent(share)} of it` : "";
  return name + part + (reason ? ` (${reason})` : "");
}

/** Settings of the adaptive quality: "8 frames of 96 px, hop 1 s". */
export function qualityInWords({ frames, side, hop, dropped = 0 }) {
  const parts = [
    frames && side && `${frames} frames of ${side} px`,
    hop && `hop ${hop} s`,
    dropped > 0 && `${dropped} windows dropped`,
  ];
  return parts.filter(Boolean).join(", ");
}

/** Whether there is an answer that its own doubts do not take back. */
export function isSure(answer) {
  return answer.pred !== null && answer.unsure.length === 0;
}

/** An answer as one short sentence. */
export function sentence(answer) {
  if (answer.pred === null) return `No answer: ${answer.unsure.join("; ") || "no reason given"}.`;
  const found = `${answer.pred}, ${percent(answer.proba[answer.pred])}`;
  return isSure(answer) ? `${found}.` : `Unsure; likeliest ${found}: ${answer.unsure.join("; ")}.`;
}
