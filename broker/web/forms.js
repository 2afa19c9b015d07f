// What forms say: sentences of the server in the words of the form, and names as people give them.

/** The sentence, with the name that its field has on the page in place of the API's. */
export function inWordsOf(form, sentence) {
  const [, key] = /^([a-z_]+(?:\.[a-z_]+)*)(?:\.\d+)*: /.exec(sentence) ?? [];
  const field = key && form.querySelector(`[data-key="${key}"], [name="${key}"]:not([data-key])`);
  const label = field?.closest("label").firstChild.textContent.trim();
  return label ? `${label}${sentence.slice(sentence.indexOf(": "))}` : sentence;
}

/**
 * A camera as the form has it. A name that no address can hold is what people see, and the id is made of it.
 * @param {Record<string, any>} fields of the form
 */
export function named({ id: given, name, ...camera }) {
  const id = given.trim();
  const plain = id
    .normalize("NFKD")
    .replace(/[^ -~]/g, "")
    .replace(/[^A-Za-z0-9._-]+/g, "-")
    .replace(/^[._-]+|[._-]+$/g, "")
    .slice(0, 64);
  return name || !plain || plain === id ? { ...camera, id, name } : { ...camera, id: plain, name: id };
}
