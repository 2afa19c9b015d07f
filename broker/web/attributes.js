// A player's attributes as properties, as frameworks set them, also before the element is known to the browser.

const TEXTS = ["camera", "stream", "signalling", "server", "poster"];

export class WithAttributes extends HTMLElement {
  static observedAttributes = [...TEXTS, "token", "autoconnect"];
  #token = null; // that was given as a property: it stands nowhere in the page

  get camera() {
    return this.getAttribute("camera");
  }
  set camera(value) {
    this.#reflect("camera", value);
  }

  get stream() {
    return this.getAttribute("stream");
  }
  set stream(value) {
    this.#reflect("stream", value);
  }

  get signalling() {
    return this.getAttribute("signalling");
  }
  set signalling(value) {
    this.#reflect("signalling", value);
  }

  get server() {
    return this.getAttribute("server");
  }
  set server(value) {
    this.#reflect("server", value);
  }

  get poster() {
    return this.getAttribute("poster");
  }
  set poster(value) {
    this.#reflect("poster", value);
  }

  get autoconnect() {
    return this.hasAttribute("autoconnect");
  }
  set autoconnect(value) {
    this.toggleAttribute("autoconnect", Boolean(value));
  }

  /** The token that is shown to the server; null without one. */
  get token() {
    return this.#token ?? this.getAttribute("token");
  }
  set token(value) {
    const before = this.token;
    this.#token = value ?? null;
    this.attributeChangedCallback("token", before, this.token);
  }

  connectedCallback() {
    for (const name of WithAttributes.observedAttributes) {
      if (!Object.prototype.hasOwnProperty.call(this, name)) continue; // it was set while this was an element like any other
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
  }

  /** @param {string} _name @param {string | null} _before @param {string | null} _after */
  attributeChangedCallback(_name, _before, _after) {}

  #reflect(name, value) {
    if (value == null) this.removeAttribute(name);
    else this.setAttribute(name, value);
  }
}
