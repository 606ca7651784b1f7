/** A button that copies a text, and says so for a moment. */
import { useSignal } from "@preact/signals";
import { IconButton } from "./icons.jsx";
import { copyText } from "./page.js";
import { t } from "./strings.js";

const COPIED_MS = 1_500;

/** `text()` is what is copied, `label` what the button is called until then. */
export function CopyButton({ label, text }) {
  const copied = useSignal(false);
  const onClick = async () => {
    await copyText(text());
    copied.value = true;
    setTimeout(() => {
      copied.value = false;
    }, COPIED_MS);
  };
  return (
    <IconButton name={copied.value ? "check" : "copy"} label={copied.value ? t("copied") : label} onClick={onClick} />
  );
}
