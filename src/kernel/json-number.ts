/**
 * Which JSON numbers a double carries exactly, in the sense that matters here: parsed and written
 * again, the number denotes the same value. 0.1 does; 12345678901234567890 and 1e400 do not.
 */

/** Why the number token between two offsets does not survive, or null when it does. */
export function inexactNumber(bytes: Uint8Array, from: number, to: number): string | null {
  if (to - from > CHARS_MAX) return `a number of ${to - from} characters is beyond a double`;
  return inexact(Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString('latin1'));
}

/** No double needs more: 767 significant digits and an exponent. */
const CHARS_MAX = 800;

/** Why the number text does not survive, or null when it does. */
export function inexact(text: string): string | null {
  const value = Number(text);
  const shown = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  if (!Number.isFinite(value)) return `${shown} is beyond the range of a double`;
  const written = canonical(text);
  const carried = canonical(String(value));
  return written === carried ? null : `${shown} would come back as ${String(value)}`;
}

/** Sign, digits without zeros at either end, and the power of ten of the last one. */
function canonical(text: string): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text);
  if (match === null) return text;
  const [, sign = '', whole = '', fraction = '', exponent = '0'] = match;
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  // A loop, not /0+$/: that expression is quadratic on digits with zeros inside.
  let last = digits.length;
  while (last > 0 && digits[last - 1] === '0') last -= 1;
  if (last === 0) return '0';
  const power = Number(exponent) - fraction.length + digits.length - last;
  return `${sign}${digits.slice(0, last)}e${power}`;
}
