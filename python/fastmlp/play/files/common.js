// What both pages share: requests, the stream of a session, colors, numbers.

export const byId = (id) => document.getElementById(id);
export const facts = JSON.parse(document.body.dataset.facts);
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// ---------------------------------------------------------------- requests

class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const answer = await response.json();
  if (!response.ok) throw new Refusal(response.status, answer.error);
  return answer;
}

const posted = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

// The page tells of the last action alone: the answer to an earlier one comes too late.
let actions = 0;

function newAction() {
  actions += 1;
  tell("problem", "");
  return actions;
}

export function refuse(text) {
  newAction();
  tell("problem", text);
}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const RETRIES = "The server does not answer. This page tries again until it does.";

// A session of this tab. It outlives the server: another one gets the settings and the place of
// the last frame, and the training is the same again, bit for bit.
export class Session {
  constructor(kind, { onStart, onFrame, onSettings }) {
    this.kind = kind;
    this.onStart = onStart;
    this.onFrame = onFrame;
    this.onSettings = onSettings;
    this.settings = this.confirmed = facts.defaults;
    this.version = this.confirmedVersion = 0;
    this.last = Promise.resolve(); // of what was sent
    this.pending = 0; // settings that are on their way
    this.place = { epoch: 0, step: 0 };
    this.speed = null;
    this.openings = 0;
    this.hasOpened = false; // what the address says; until then it stays
    addEventListener("pagehide", () => this.end());
    // A tab that nobody sees trains nothing, and leaves its connection to others.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.rest();
      else if (this.name && !this.source && !this.isSearching) this.listen();
    });
  }

  // Opens a session as soon as a server answers. A later opening takes the place of this one.
  open(settings, place) {
    this.openings += 1;
    this.isSearching = this.hasOpened = false;
    return this.openAs(this.openings, settings, place);
  }

  async openAs(opening, settings, place) {
    this.end();
    const slow = setTimeout(() => tell("connection", "The server prepares the data."), 800);
    let answer;
    try {
      answer = await this.answered(opening, () => this.ask(settings, place));
    } catch (error) {
      if (opening === this.openings) throw error;
    } finally {
      clearTimeout(slow);
    }
    if (opening !== this.openings) {
      if (answer) endOf(answer.session);
      return;
    }
    this.name = answer.session;
    this.hasOpened = true;
    this.settings = this.confirmed = settings;
    this.version = this.confirmedVersion = 0;
    this.place = place;
    this.catchUpStart = place.epoch || place.step ? performance.now() : null;
    if (this.speed) await this.sendUnasked("order", { order: "speed", speed: this.speed });
    this.listen();
  }

  ask(settings, place) {
    return ask(`/sessions/${this.kind}?${new URLSearchParams(place)}`, posted(settings));
  }

  // Asks until the server answers, or until another opening makes the answer needless.
  async answered(opening, question) {
    for (let wait = 300; opening === this.openings; wait = Math.min(2000, 2 * wait)) {
      try {
        return await question();
      } catch (error) {
        if (error.status) throw error;
        tell("connection", RETRIES);
      }
      await pause(wait);
    }
    return null;
  }

  listen() {
    if (document.hidden) return;
    const source = new EventSource(`/sessions/${this.name}/events?fps=${calm.matches ? 4 : 30}`);
    this.source = source;
    source.addEventListener("start", (event) => {
      const start = JSON.parse(event.data);
      this.confirmed = start.settings;
      this.confirmedVersion = start.version;
      this.takeConfirmed();
      this.onStart(start);
    });
    source.addEventListener("frame", (event) => this.take(JSON.parse(event.data)));
    source.addEventListener("failure", (event) => {
      this.isPlaying = false;
      const { problem } = JSON.parse(event.data);
      block(problem);
      tell("problem-of-training", problem);
    });
    source.addEventListener("error", () => {
      if (this.source === source) this.findAgain();
    });
  }

  // The place of a training that is on its way to another one is that other one, also for a reload.
  take(frame) {
    const [epoch, step] = frame.goal ?? [frame.epoch, frame.step];
    this.place = { epoch, step };
    this.isPlaying = frame.playing;
    if (!frame.goal) this.catchUpStart = null;
    const isLong = this.catchUpStart !== null && performance.now() - this.catchUpStart > 500;
    tell("connection", isLong ? `Training up to ${placeText(epoch, step)} of the address.` : "");
    this.onFrame(frame);
  }

  rest() {
    this.source?.close();
    this.source = null;
  }

  // The stream has ended: the server is gone, or the session.
  async findAgain() {
    this.rest();
    this.isSearching = true;
    const opening = this.openings;
    await pause(300);
    for (let wait = 300; opening === this.openings; wait = Math.min(2000, 2 * wait)) {
      try {
        await this.continueOrOpen(opening);
        this.isSearching = false;
        return;
      } catch (error) {
        tell("connection", error.status ? `The server refuses: ${ended(error.message)} Trying again.` : RETRIES);
      }
      await pause(wait);
    }
  }

  async continueOrOpen(opening) {
    try {
      await ask(this.path("state"));
      if (opening === this.openings) this.listen();
    } catch (error) {
      if (error.status !== 404) throw error;
      if (opening !== this.openings) return;
      const wasPlaying = this.isPlaying;
      await this.openAs(opening, this.confirmed, this.place);
      if (wasPlaying && opening === this.openings) await this.sendUnasked("order", { order: "play" });
    }
  }

  path(what) {
    return pathOf(this.name, what);
  }

  // Sends one after the other; returns the answer, or null after telling why there is none.
  send(what, body) {
    const action = newAction();
    return this.queue(what, body, (text) => { if (action === actions) tell("problem", text); });
  }

  // Sends what is no action of a person.
  sendUnasked(what, body) {
    return this.queue(what, body, () => {});
  }

  // What waits for its turn when another session opens is not meant for that one.
  queue(what, body, onProblem) {
    const opening = this.openings;
    const sent = this.last.then(() => (opening === this.openings ? this.post(what, body, onProblem) : null));
    this.last = sent;
    return sent;
  }

  async post(what, body, onProblem) {
    try {
      return await ask(this.path(what), posted(body));
    } catch (error) {
      onProblem(whyOf(error));
      return null;
    }
  }

  // Settings count from the moment they are sent, so that quick changes add up.
  async put(settings, what, body) {
    this.settings = settings;
    this.pending += 1;
    const answer = await this.send(what, body);
    this.pending -= 1;
    if (answer) this.version = answer.version;
    this.takeConfirmed();
    if (this.pending === 0) this.onSettings();
  }

  // The event that confirms a change may come before the answer to it.
  takeConfirmed() {
    if (this.pending === 0 && this.confirmedVersion >= this.version) this.settings = this.confirmed;
  }

  // The network begins anew with a change; the last phase counts from the start.
  change(part) {
    const phases = [{ ...this.settings.phases.at(-1), start: 0 }];
    const settings = { ...this.settings, phases, ...part };
    return this.put(settings, "settings", settings);
  }

  // The training goes on with a change of its last phase.
  tune(part) {
    const phases = [...this.settings.phases.slice(0, -1), { ...this.settings.phases.at(-1), ...part }];
    return this.put({ ...this.settings, phases }, "tune", part);
  }

  get(what) {
    return this.name ? ask(this.path(what)) : Promise.reject(new Refusal(404, ""));
  }

  end() {
    if (!this.name) return;
    this.rest();
    endOf(this.name);
    this.name = null;
  }
}

const pathOf = (name, what) => `/sessions/${name}/${what}`;

function endOf(name) {
  fetch(pathOf(name, "end"), { ...posted({}), keepalive: true }).catch(() => {});
}

const ended = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

const placeText = (epoch, step) => `epoch ${epoch.toLocaleString("en")}${step ? `, batch ${step}` : ""}`;

export function tell(id, text) {
  const place = byId(id);
  if (place.textContent !== text) place.textContent = text;
  place.hidden = text === "";
}

// ---------------------------------------------------------------- numbers and bytes

export function decoded(text, Kind = Uint8Array) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) bytes[i] = raw.charCodeAt(i);
  return Kind === Uint8Array ? bytes : new Kind(bytes.buffer);
}

export function shown(value, digits = 3) {
  if (value === null || value === undefined) return "not finite";
  return Number(value.toPrecision(digits)).toString().replace("-", "−");
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

// ---------------------------------------------------------------- colors

export const colors = {};

function readColors() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["a", "b", "c", "paper", "ink", "soft", "line", "warn"]) {
    const text = style.getPropertyValue(`--${name}`).trim();
    colors[name] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  }
  colors.classes = [colors.a, colors.b, colors.c];
  colors.ramp = rampUpTo(1);
  colors.pale = rampUpTo(0.5);
  colors.regions = new Uint32Array(256);
  for (let value = 0; value < 256; value += 1) {
    const share = 0.06 + 0.4 * ((value & 63) / 63);
    const main = colors.classes[value >> 6];
    colors.regions[value] = packed(main ? mixed(colors.paper, main, share) : colors.soft);
  }
}

// From the color of A over that of the paper to the color of B, which has a share of it at the ends.
function rampUpTo(most) {
  return Uint32Array.from({ length: 256 }, (_, value) => {
    if (value === 0) return packed(colors.soft); // no finite number
    const share = most * Math.min(1, Math.abs(value - 128) / 127);
    return packed(mixed(colors.paper, value < 128 ? colors.a : colors.b, share));
  });
}

export const mixed = (from, to, share) => from.map((part, i) => part + (to[i] - part) * share);
export const css = (color) => `rgb(${color.map(Math.round).join(" ")})`;
const packed = ([red, green, blue]) =>
  (255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red);

readColors();

export function onColors(draw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readColors();
    draw();
  });
}

// Draws bytes as a square picture; one pixel for each byte.
export function paint(canvas, bytes, table) {
  const side = Math.sqrt(bytes.length);
  if (canvas.width !== side) canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < bytes.length; i += 1) pixels[i] = table[bytes[i]];
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Whether a stroke begins: with the first finger, or the main button of a mouse.
export const startsStroke = (event) => event.isPrimary && event.button === 0;

// ---------------------------------------------------------------- speech

// Losses change 30 times a second; a screen reader hears them every few seconds, and at each end.
export class Speaker {
  constructor() {
    this.last = 0;
    this.wasActive = false;
  }

  say(text, isActive) {
    const now = performance.now();
    if (isActive && this.wasActive && now - this.last < 5000) return;
    this.last = now;
    this.wasActive = isActive;
    byId("spoken").textContent = text;
  }
}

// Copies the text of an element. Browsers allow it on this machine and by https alone; elsewhere the
// text is selected, so that one key is left to press.
export async function copy(button, source) {
  const isCopied = await navigator.clipboard?.writeText(source.textContent).then(() => true, () => false);
  if (!isCopied) getSelection().selectAllChildren(source);
  button.textContent = isCopied ? "Copied" : "Selected: press Ctrl+C";
  await pause(isCopied ? 1500 : 4000);
  button.textContent = "Copy";
}

// ---------------------------------------------------------------- what both pages do alike

export function showLosses(frame) {
  byId("at").textContent = frame.epoch.toLocaleString("en");
  byId("batch-at").textContent = `${frame.step} of ${frame.steps}`;
  ["train-loss", "test-loss"].forEach((name, i) => {
    byId(name).textContent = frame.loss ? shown(frame.loss[i]) : "-";
  });
  const [train, test] = frame.accuracy;
  for (const part of document.querySelectorAll(".shares")) part.hidden = train === undefined;
  if (train !== undefined) {
    byId("train-right").textContent = percent(train);
    byId("test-right").textContent = percent(test);
  }
  const play = byId("play");
  const text = frame.playing ? "Pause" : "Play";
  if (play.textContent !== text) play.textContent = text;
  block(frame.problem);
  tell("problem-of-training", frame.loss ? frame.problem : "");
}

function block(problem) {
  for (const name of ["play", "step", "epoch"]) {
    byId(name).disabled = problem !== "";
    byId(name).title = problem;
  }
}

export function spokenLosses(frame) {
  if (!frame.loss) return frame.problem;
  const share = frame.accuracy.length ? `, test accuracy ${percent(frame.accuracy[1])}` : "";
  return `Epoch ${frame.epoch}: training loss ${shown(frame.loss[0])}, `
    + `test loss ${shown(frame.loss[1])}${share}`;
}

export function connectRun(session) {
  const order = (name) => session.send("order", { order: name });
  byId("play").addEventListener("click", () => order(session.isPlaying ? "pause" : "play"));
  for (const name of ["step", "epoch", "reset"]) {
    byId(name).addEventListener("click", () => order(name));
  }
  byId("speed").addEventListener("change", (event) => {
    session.speed = event.target.value;
    session.send("order", { order: "speed", speed: session.speed });
  });
}

// Settings of the network and its training, by the names of their fields.
const TUNED = ["learning_rate", "batch_size", "l2"];
const WITH_MOMENTUM = ["sgd", "rmsprop"];

export function showSettings(settings) {
  const phase = settings.phases.at(-1);
  for (const name of ["activation", "optimizer", "momentum", "dropout", "seed"]) {
    show(name, settings[name]);
  }
  for (const name of TUNED) show(name, phase[name]);
  show("initializer", settings.initializer ?? "");
  byId("batch_normalization").checked = settings.batch_normalization;
  byId("momentum").parentElement.hidden = !WITH_MOMENTUM.includes(settings.optimizer);
}

// A field in which somebody types, or a slider that somebody drags, keeps its value until the end.
let edited = null;
const endEdit = () => { edited = null; };
addEventListener("input", (event) => { edited = event.target; }, true);
for (const kind of ["change", "focusout", "hashchange"]) addEventListener(kind, endEdit, true);

export function show(name, value) {
  const field = byId(name);
  if (field !== edited && field.value !== String(value)) field.value = value;
}

// Calls `onValue` with a field each time it is changed to what it may hold.
export function connectField(session, name, onValue) {
  byId(name).addEventListener("change", ({ target: field }) => {
    if (field.type !== "number" || (field.value !== "" && field.checkValidity())) {
      onValue(field);
      return;
    }
    refuse(`${labelOf(field)}: ${field.validationMessage || "must be a number"}`);
    session.onSettings();
  });
}

const labelOf = (field) => field.labels[0].childNodes[field.type === "checkbox" ? 1 : 0].textContent.trim();

// A message of the server with the words of the page for the names of fields.
function worded(text) {
  const named = (name) => (byId(name)?.labels?.length ? labelOf(byId(name)) : name);
  return text.replace(/^(?:phases\.\d+\.)?(\w+)(?=: )/, (_, name) => named(name))
    .replace(/\b[a-z]+_[a-z_]+\b/g, (name) => named(name).toLowerCase());
}

function whyOf(error) {
  if (error.status === 404) return "There is no session at this moment.";
  return error.status ? worded(error.message) : "The server does not answer.";
}

export function connectSettings(session) {
  const listen = (name, read) => connectField(session, name, (field) => session.change(read(field)));
  listen("activation", (field) => ({ activation: field.value }));
  listen("dropout", (field) => ({ dropout: Number(field.value) }));
  listen("momentum", (field) => ({ momentum: Number(field.value) }));
  listen("seed", (field) => ({ seed: Number(field.value) }));
  listen("initializer", (field) => ({ initializer: field.value || null }));
  listen("batch_normalization", (field) => ({ batch_normalization: field.checked }));
  listen("optimizer", (field) => {
    const phase = { ...session.settings.phases.at(-1), start: 0, learning_rate: facts.rates[field.value] };
    const momentum = WITH_MOMENTUM.includes(field.value) ? session.settings.momentum : 0;
    return { optimizer: field.value, momentum, phases: [phase] };
  });
  for (const name of TUNED) {
    connectField(session, name, (field) => session.tune({ [name]: field.valueAsNumber }));
  }
}

// ---------------------------------------------------------------- the code

// The panel with the program; `more` shows what else a page has of it.
export class Code {
  constructor(session, more = () => {}) {
    this.session = session;
    this.more = more;
    byId("code").addEventListener("toggle", () => this.refresh());
    byId("copy-python").addEventListener("click", (event) => copy(event.target, byId("python")));
  }

  async refresh() {
    if (!byId("code").open) return;
    let code;
    try {
      code = await this.session.get("code");
    } catch (error) {
      tell("code-problem", whyOf(error));
      return;
    }
    tell("code-problem", code.python ? "" : code.reason);
    const step = code.step ? ` and ${code.step} batches` : "";
    byId("code-place").textContent = `${code.epoch.toLocaleString("en")} epochs${step}`;
    byId("digest").textContent = code.digest;
    byId("python").textContent = code.python;
    this.more(code);
  }
}

// ---------------------------------------------------------------- the address

// What is no number stays a text, which the server refuses.
const numberOf = (text) => (text.trim() === "" || Number.isNaN(Number(text)) ? text : Number(text));
const numbersOf = (text) => text.split(":").map(numberOf);
const phaseText = (p) => [p.start, p.learning_rate, p.batch_size, p.l2].join(":");

function phaseOf(text) {
  const [start, learning_rate, batch_size, l2] = numbersOf(text);
  return { start, learning_rate, batch_size, l2 };
}

const pointText = (p) => [p.x1, p.x2, p.label].join(":");

function pointOf(text) {
  const [x1, x2, label] = numbersOf(text);
  return { x1, x2, label };
}

const LISTS = {
  phases: [phaseText, phaseOf],
  drawn: [pointText, pointOf],
  features: [String, String],
  hidden: [String, numberOf],
};

// The state as the part of the address after #, which the server never sees.
export function addressOf(settings, place, more) {
  const query = [];
  for (const [name, value] of Object.entries(settings)) {
    const text = name in LISTS ? value.map(LISTS[name][0]).join(",") : String(value);
    const usual = facts.defaults[name];
    const usualText = name in LISTS ? usual.map(LISTS[name][0]).join(",") : String(usual);
    if (text === usualText) continue;
    const written = encodeURIComponent(text).replaceAll("%3A", ":").replaceAll("%2C", ",");
    query.push(`${name}=${written}`);
  }
  for (const [name, value] of Object.entries({ ...place, ...more })) {
    if (value) query.push(`${name}=${value}`);
  }
  return `#${query.join("&")}`;
}

export function stateOf(address) {
  const query = new URLSearchParams(address.replace(/^#/, ""));
  const settings = { ...facts.defaults };
  for (const [name, text] of query) {
    if (!Object.hasOwn(facts.defaults, name)) continue;
    const usual = facts.defaults[name];
    if (Object.hasOwn(LISTS, name)) settings[name] = text === "" ? [] : text.split(",").map(LISTS[name][1]);
    else if (typeof usual === "number") settings[name] = numberOf(text);
    else if (typeof usual === "boolean") settings[name] = ["true", "false"].includes(text) ? text === "true" : text;
    else settings[name] = text === "null" ? null : text;
  }
  const place = { epoch: numberOf(query.get("epoch") ?? "0"), step: numberOf(query.get("step") ?? "0") };
  return { settings, place, query };
}

// The links lead back to what this tab showed last on the other page.
const storage = openStorage();

function openStorage() {
  try {
    return sessionStorage;
  } catch {
    return null; // the browser allows none
  }
}

for (const link of document.querySelectorAll("nav a:not([aria-current])")) {
  const kept = link.origin === location.origin && storage?.getItem(link.pathname);
  if (kept) link.hash = kept;
}

// Writes the address, but no more than twice a second, of which browsers allow no more for long.
export class Address {
  constructor(session, text) {
    this.session = session;
    this.text = text;
    this.next = 0;
    addEventListener("pagehide", () => this.write());
  }

  changed() {
    const now = performance.now();
    if (now < this.next) {
      this.timer ??= setTimeout(() => this.write(), this.next - now);
    } else {
      this.write();
    }
  }

  write() {
    clearTimeout(this.timer);
    this.timer = null;
    this.next = performance.now() + 500;
    const text = this.session.hasOpened ? this.text() : location.hash;
    storage?.setItem(location.pathname, text);
    if (text !== location.hash) history.replaceState(null, "", text || location.pathname);
  }
}

// Opens the session that the address describes, also when somebody edits it. `choices` are the
// values of its other parts, of what the page shows, and `show` gets these parts.
export function openAddress(session, choices = {}, show = () => {}) {
  const speeds = [...byId("speed").options].map((option) => option.value);
  const open = async (address) => {
    const state = stateOf(address);
    requireChoices(state.query, { speed: speeds, ...choices });
    session.speed = state.query.get("speed");
    show(state.query);
    return session.open(state.settings, state.place);
  };
  const openOrSay = async () => {
    let wrong = "";
    try {
      await open(location.hash).catch((error) => {
        if (error.status !== 422) throw error;
        wrong = `The address is wrong, so this page begins with its usual settings. ${error.message}`;
        return open("");
      });
      if (wrong) refuse(wrong);
    } catch (error) {
      tell("connection", "");
      block(`${ended(error.message)} Reload this page to try again.`);
      tell("problem-of-training", byId("play").title);
    }
  };
  addEventListener("hashchange", openOrSay);
  addEventListener("pageshow", (event) => { if (event.persisted) openOrSay(); });
  openOrSay();
}

function requireChoices(query, choices) {
  for (const [name, values] of Object.entries(choices)) {
    const value = query.get(name);
    if (value !== null && !values.includes(value)) {
      throw new Refusal(422, `${name}: must be one of ${values.join(", ")}, got ${value}`);
    }
  }
}
