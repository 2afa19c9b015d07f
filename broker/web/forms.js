// Sentences of the server about a form, in the words of that form.

/** The sentence, with the name that its field has on the page in place of the API's. */
export function inWordsOf(form, sentence) {
  const [, key] = /^([a-z_]+(?:\.[a-z_]+)*)(?:\.\d+)*: /.exec(sentence) ?? [];
  const field = key && form.querySelector(`[data-key="${key}"], [name="${key}"]:not([data-key])`);
  const label = field?.closest("label").firstChild.textContent.trim();
  return label ? `${label}${sentence.slice(sentence.indexOf(": "))}` : sentence;
}
