/**
 * Pictures and files that go along with a message: made smaller here, sent through the door, shown again by ticket.
 *
 * What a file is, the service says by its bytes. Nothing is shown that comes from elsewhere.
 */
import { computed, signal } from "@preact/signals";
import { t } from "./input-strings.js";
import { doorUrl, randomId } from "./page.js";

const MOST = 20;
const LARGEST = 8 * 2 ** 20;
/** The longest side that models look at; vendors scale down what is larger. */
const LONGEST_SIDE = 2048;
const HEAVY = 4 * 2 ** 20;
/** A ticket lives for ten minutes. */
const TICKET_MS = 9 * 60_000;
const GATHER_MS = 20;
/** What is said of a file that is too large or of no use to a model: by this page, and by the service. */
const REFUSED = new Set(["attachment_large", "attachment_refused", "invalid_request"]);

/** The picture that `file` is, no larger than a model looks at; null where it is none that a browser can draw. */
async function drawn(file) {
  if (!/^image\/(png|jpeg|webp|gif)$/.test(file.type)) return null;
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return null;
  const scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  // Moving pictures would stand still.
  const fits = (scale === 1 && file.size <= HEAVY) || file.type === "image/gif";
  const picture = fits ? file : await scaled(bitmap, scale, file.type);
  // Its pixels are many times what the file is.
  bitmap.close();
  return picture;
}

async function scaled(bitmap, scale, type) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const brush = canvas.getContext("2d");
  brush.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const save = (as) => new Promise((resolve) => canvas.toBlob(resolve, as, 0.9));
  const same = await save(type);
  if (same && same.size <= HEAVY) return same;
  // JPEG knows nothing that is seen through: it would be black.
  brush.globalCompositeOperation = "destination-over";
  brush.fillStyle = "#fff";
  brush.fillRect(0, 0, canvas.width, canvas.height);
  return save("image/jpeg");
}

/** POST `body`, telling how much has gone; the reply, or `{message, remedy}` thrown. */
function post(url, body, progress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => progress(loaded / total);
    request.onload = () => (request.status === 201 ? resolve(request.response) : reject(request.response?.error ?? {}));
    request.onerror = request.ontimeout = () => reject({});
    request.send(body);
  });
}

/** Whether the same file may go at another try: not where it was refused for what it is. */
export const mayGo = ({ code }) => !REFUSED.has(code);

/** What is attached to the message that is being written. */
export class Attachments {
  /** Each `{key, file, name, state, sent, url, about, error}`; `state` is "sending", "ready" or "failed". */
  items = signal([]);
  ready = computed(() => this.items.value.every((item) => item.state === "ready"));
  failed = computed(() => this.items.value.some((item) => item.state === "failed"));
  hasPicture = computed(() => this.items.value.some((item) => item.url));
  tokens = computed(() => this.items.value.reduce((sum, item) => sum + (item.about?.tokens ?? 0), 0));
  #page;
  #ticket = null;

  constructor(page) {
    this.#page = page;
  }

  add(files) {
    const room = MOST - this.items.value.length;
    if (files.length > room) this.#page.fail({ message: t("attachment_many") });
    for (const file of [...files].slice(0, room)) {
      const item = { key: randomId(), file, name: file.name || "picture.png", state: "sending", sent: 0 };
      this.items.value = [...this.items.value, item];
      this.#send(item);
    }
  }

  retry(item) {
    this.#change(item.key, { state: "sending", sent: 0, error: null });
    this.#send(item);
  }

  remove(item) {
    this.items.value = this.items.value.filter((one) => one.key !== item.key);
    if (item.url) URL.revokeObjectURL(item.url);
  }

  /** The parts of the message that refer to what is attached; what is written next has none. */
  take() {
    const taken = this.items.value.filter((item) => item.state === "ready");
    this.items.value = [];
    for (const { about, url } of taken) if (url) this.#page.pictures.know(about.id, url);
    return taken.map(({ about: { id, name, media_type, width, height } }) => ({
      type: media_type.startsWith("image/") ? "image" : "file",
      data: { attachment: id, name, media_type, width, height },
    }));
  }

  /** Nothing is written on this page any more. */
  close() {
    for (const item of this.items.value) this.remove(item);
  }

  async #send({ key, file, name }) {
    try {
      const picture = await drawn(file);
      const body = picture ?? file;
      const item = this.items.value.find((one) => one.key === key);
      // It was taken away meanwhile.
      if (!item) return;
      if (picture && !item.url) this.#change(key, { url: URL.createObjectURL(picture) });
      if (body.size > LARGEST) throw { code: "attachment_large", size: (body.size / 2 ** 20).toFixed(1) };
      const url = `${doorUrl(await this.#path())}&name=${encodeURIComponent(name.slice(-255))}`;
      const about = await post(url, body, (share) => this.#change(key, { sent: share }));
      this.#change(key, { state: "ready", about });
    } catch (error) {
      this.#ticket = null;
      this.#change(key, { state: "failed", error });
    }
  }

  async #path() {
    const now = performance.now();
    if (!this.#ticket || now > this.#ticket.until)
      this.#ticket = { until: now + TICKET_MS, path: this.#page.comm.call("upload") };
    return this.#ticket.path;
  }

  #change(key, values) {
    this.items.value = this.items.value.map((item) => (item.key === key ? { ...item, ...values } : item));
  }
}

/** The addresses of the pictures in messages, asked for together and only while they are looked at. */
export class Pictures {
  #ask;
  /** By id `{address, until}`; what was sent from here is shown from here. */
  #known = new Map();
  #own = [];
  #wanted = new Map();

  /** `ask(ids)` gives the paths below the door, by their ids. */
  constructor(ask) {
    this.#ask = ask;
  }

  know(id, url) {
    this.#own.push(url);
    this.#known.set(id, { address: Promise.resolve(url), until: Number.POSITIVE_INFINITY });
  }

  /** Nothing is shown on this page any more. */
  close() {
    for (const url of this.#own.splice(0)) URL.revokeObjectURL(url);
  }

  /** Its address; null where it is gone. */
  address(id) {
    const known = this.#known.get(id);
    if (known && performance.now() < known.until) return known.address;
    const address = new Promise((resolve) => {
      if (!this.#wanted.size) setTimeout(() => this.#gather(), GATHER_MS);
      this.#wanted.set(id, resolve);
    });
    this.#known.set(id, { address, until: performance.now() + TICKET_MS });
    return address;
  }

  /** An address did not lead there: the next one is asked for anew. */
  forget(id) {
    this.#known.delete(id);
  }

  async #gather() {
    const wanted = this.#wanted;
    this.#wanted = new Map();
    const ids = [...wanted.keys()];
    for (let at = 0; at < ids.length; at += 50) {
      const some = ids.slice(at, at + 50);
      const paths = await this.#ask(some).catch(() => ({}));
      for (const id of some) {
        if (!paths[id]) this.forget(id);
        wanted.get(id)(paths[id] ? doorUrl(paths[id]) : null);
      }
    }
  }
}
