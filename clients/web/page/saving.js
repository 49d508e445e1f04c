// Copy and download.
import { DOCUMENTS, toText } from "./documents.js";

/** False if the browser did not let us. */
export async function copyText(entries) {
  try {
    await navigator.clipboard.writeText(toText(entries));
    return true;
  } catch {
    return false;
  }
}

export function download(entries, format) {
  const { type, write } = DOCUMENTS[format];
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([write(entries)], { type }));
  link.download = `transcript-${new Date().toISOString().slice(0, 16).replace(/[T:]/g, "-")}.${format}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
