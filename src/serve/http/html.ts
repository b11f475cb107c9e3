/** Pages for people: one plain frame, no script, nothing from elsewhere. */
import type { Call } from './call.ts';

const STYLE =
  'body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;' +
  'color:#1b1f24;background:#fff}code,pre{font:14px ui-monospace,monospace;background:#f2f4f6;' +
  'padding:.1em .3em;border-radius:3px}table{border-collapse:collapse;width:100%}td,th{' +
  'text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d8dee4}' +
  'details{border-bottom:1px solid #d8dee4;padding:.4rem 0}summary{cursor:pointer}' +
  '.method{display:inline-block;width:4.5rem;font-weight:600}@media(prefers-color-scheme:dark){' +
  'body{color:#e6e8ea;background:#16191d}code,pre{background:#262b31}' +
  'td,th,details{border-color:#3a4149}a{color:#7db7ff}}';

/** Text as it may stand between tags and in quoted attributes. */
export function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll(/`([^`]+)`/g, '<code>$1</code>');
}

/** Answers 200 with a page; `main` is HTML already. */
export function htmlPage(call: Call, title: string, main: string): void {
  const text =
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width">' +
    `<title>${escape(title)} · Holdfast</title><style>${STYLE}</style></head>` +
    `<body><main><h1>${escape(title)}</h1>${main}</main></body></html>\n`;
  call.answer(200, 'text/html; charset=utf-8', text, [
    'Content-Security-Policy',
    "default-src 'none'; style-src 'unsafe-inline'",
    'X-Content-Type-Options',
    'nosniff',
    'Vary',
    'Accept',
  ]);
}

/** Whether Accept ranks HTML above JSON: browsers do, programs do not. */
export function wantsHtml(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  let html = 0;
  let json = 0;
  for (const part of accept.split(',')) {
    const [type = '', ...rest] = part.split(';').map((piece) => piece.trim().toLowerCase());
    const weight = rest.find((piece) => piece.startsWith('q='));
    const quality = weight === undefined ? 1 : Number(weight.slice(2)) || 0;
    if (type === 'text/html') html = Math.max(html, quality);
    if (/^application\/(.*\+)?json$/.test(type)) json = Math.max(json, quality);
  }
  return html > json;
}
