// A question before what cannot be taken back, and a sentence that has to be read: in a dialog of the page's own.

import { closeDialog, openDialog } from "./browser.js";

/** Ask, with a button that says what it does. Resolves to whether that was pressed; Escape is no. */
export function isSure(question, verb) {
  return new Promise((resolve) => {
    const dialog = show(question, [
      ["Cancel", () => resolve(false)],
      [verb, () => resolve(true)],
    ]);
    dialog.oncancel = () => {
      dialog.remove();
      resolve(false);
    };
  });
}

/** Tell why something did not work. */
export function tell(sentence) {
  const dialog = show(sentence, [["Close", () => {}]]);
  dialog.oncancel = () => dialog.remove();
}

/** A dialog with the sentence and its buttons, of which the last is the primary one and has the focus. */
function show(sentence, answers) {
  const dialog = document.body.appendChild(document.createElement("dialog"));
  const text = dialog.appendChild(document.createElement("p"));
  text.id = "question";
  text.textContent = sentence;
  dialog.setAttribute("aria-labelledby", text.id);
  const bar = dialog.appendChild(document.createElement("div"));
  bar.className = "bar answers";
  const buttons = answers.map(([label, act]) => {
    const button = bar.appendChild(document.createElement("button"));
    button.type = "button";
    button.textContent = label;
    button.onclick = () => {
      closeDialog(dialog);
      dialog.remove();
      act();
    };
    return button;
  });
  const last = buttons[buttons.length - 1];
  last.className = "primary";
  openDialog(dialog);
  last.focus();
  return dialog;
}
