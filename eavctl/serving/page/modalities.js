// What files and devices give.

export const RECORDABLE = ["audio", "video"]; // a browser gives no EEG
const EEG_ENDINGS = [".edf", ".bdf", ".set", ".mat"];

/** What a file dialog offers for a modality. */
export const ACCEPTED = {
  audio: ["audio/*", "video/*"], // the audio of a film
  video: ["video/*"],
  eeg: EEG_ENDINGS,
};

/** @param {File} file of one modality @returns {"audio" | "video" | "eeg"} */
export function modalityOf({ name, type }) {
  if (EEG_ENDINGS.some((ending) => name.toLowerCase().endsWith(ending))) return "eeg";
  return type.startsWith("video/") ? "video" : "audio";
}
