// The HTTP interface of the service: the only place of the page that knows its paths, but for `stream.js`.

import { Failure } from "./failure.js";
import { modalityOf } from "./modalities.js";

const JSON_TYPE = "application/json";
export const TABLE_TYPE = "application/vnd.apache.parquet";

/** @returns {Promise<boolean>} whether the service takes recordings */
export async function isReady() {
  try {
    return (await fetch("v2/health/ready")).ok;
  } catch {
    return false;
  }
}

/** Facts of the model that answers when none is named. */
export async function describeModel() {
  const { models } = await (await asked("v2/models")).json();
  return (await asked(pathOf(models[0].name))).json();
}

/**
 * Judge one recording.
 * @param {string} model
 * @param {File[]} files one, or the files of its modalities
 * @param {{type?: string, segment?: number, hop?: number}} options `type` is the answer's: JSON or a table
 * @returns {Promise<Response>}
 */
export function infer(model, files, { type = JSON_TYPE, ...query } = {}) {
  return sent(`${pathOf(model)}/infer`, files, query, { Accept: type });
}

/** The picture of a recording's audio, a PNG. */
export async function analysis(model, files) {
  return (await sent(`${pathOf(model)}/analysis`, files, {}, {})).blob();
}

function pathOf(model) {
  return `v2/models/${encodeURIComponent(model)}`;
}

function sent(path, files, query, headers) {
  const parameters = new URLSearchParams(query);
  if (files.length === 1) {
    parameters.set("name", files[0].name);
    headers = { ...headers, "Content-Type": "application/octet-stream" };
    return asked(`${path}?${parameters}`, { method: "POST", body: files[0], headers });
  }
  return asked(`${path}?${parameters}`, { method: "POST", body: asForm(files), headers });
}

/** The files of one recording as form fields named by modality. */
function asForm(files) {
  const form = new FormData();
  for (const file of files) {
    const modality = modalityOf(file);
    if (form.has(modality)) {
      throw new Failure(`${file.name}: a second ${modality} file. Drop the files of one recording at a time.`);
    }
    form.set(modality, file);
  }
  return form;
}

/** @throws {Failure} with the sentence of the service, where it does not do what is asked */
async function asked(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Failure("The service does not answer. Is 'eavctl serve' still running?");
  }
  if (!response.ok) throw new Failure(await reason(response));
  return response;
}

async function reason(response) {
  const nameless = `The service answered ${response.status} ${response.statusText}.`;
  try {
    return (await response.json()).error ?? nameless;
  } catch {
    return nameless; // a proxy between may answer in HTML
  }
}
