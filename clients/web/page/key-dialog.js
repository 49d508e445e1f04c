// The key of a service that wants one. Kept for this tab alone.

const NAME = "harken.key";

export class KeyDialog {
  constructor({ dialog, form, input, cancel, onKey }) {
    this._dialog = dialog;
    this._input = input;
    cancel.addEventListener("click", () => dialog.close());
    form.addEventListener("submit", () => {
      keep(input.value.trim());
      input.value = "";
      onKey();
    });
  }

  open() {
    if (!this._dialog.open) this._dialog.showModal();
    this._input.focus();
  }
}

let key = null;

export function currentKey() {
  try {
    key ??= sessionStorage.getItem(NAME);
  } catch {
    // Storage is closed to this page: the key lives as long as the page.
  }
  return key ?? "";
}

function keep(value) {
  key = value;
  try {
    sessionStorage.setItem(NAME, value);
  } catch {
    // As above.
  }
}
