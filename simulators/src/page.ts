/** The page that shows every text, call and e-mail, and lets one answer as the patient. Plain forms, no script. */
import { createHash } from 'node:crypto';
import { otherSide, type Sent, type SentCall } from './outbox.ts';

const STYLE = `
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #1d2733; background: #fff }
  table { border-collapse: collapse; width: 100% }
  th, td { border-bottom: 1px solid #dfe5ec; padding: .5rem; text-align: left; vertical-align: top }
  td.body { white-space: pre-wrap; overflow-wrap: anywhere }
  tr.inbound td { background: #f2f7ee }
  caption { text-align: left; padding-bottom: 1rem; color: #5b6875 }
  form { display: inline-block; margin: .25rem .5rem .25rem 0 }
  button, input { font: inherit; padding: .25rem .75rem }
  input { width: 24rem; max-width: 60vw }`;

const STYLE_HASH = createHash('sha256').update(STYLE).digest('base64');

/** No script, nothing from elsewhere, and no form that leads away. */
export const PAGE_HEADERS = {
  'Content-Type': 'text/html; charset=utf-8',
  'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-store',
} as const;

/** Everything, looked at again every few seconds. */
export function renderOverview(sent: readonly Sent[]): string {
  return renderPage({
    title: 'Sent messages',
    refresh: true,
    caption: `Texts, calls and e-mails that CareFlex has sent, and what was answered. They reach nobody. Also as
<a href="/simulator/messages">JSON</a>.`,
    above: '',
    sent,
  });
}

/** What one number has got, with a box to write back: it stands still while somebody writes. */
export function renderConversation(number: string, sent: readonly Sent[]): string {
  return renderPage({
    title: `Messages of ${number}`,
    refresh: false,
    caption: `<a href="/">All messages</a> · <a href="/numbers/${encodeURIComponent(number)}">Look again</a>`,
    above: `<form method="post" action="/reply">
<input type="hidden" name="from" value="${escape(number)}">
<label>Text back as ${escape(number)}: <input name="body" required maxlength="1600" autocomplete="off"></label>
<button>Send</button>
</form>`,
    sent,
  });
}

interface Page {
  readonly title: string;
  readonly refresh: boolean;
  readonly caption: string;
  readonly above: string;
  readonly sent: readonly Sent[];
}

function renderPage({ title, refresh, caption, above, sent }: Page): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
${refresh ? '<meta http-equiv="refresh" content="3">' : ''}
<title>${escape(title)} · CareFlex simulators</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escape(title)}</h1>
${above}
<table>
<caption>${caption}</caption>
<thead><tr><th scope="col">At (UTC)</th><th scope="col">Kind</th><th scope="col">With</th><th scope="col">Message</th><th scope="col">State</th></tr></thead>
<tbody>
${sent.map(renderRow).join('\n') || '<tr><td colspan="5">Nothing yet.</td></tr>'}
</tbody>
</table>
</body>
</html>
`;
}

function renderRow(sent: Sent): string {
  const at = sent.at.toString({ smallestUnit: 'second' }).replace('T', ' ').replace('Z', '');
  const inbound = sent.kind === 'text' && sent.direction === 'inbound';
  const kind = inbound ? 'answer' : sent.kind;
  return `<tr${inbound ? ' class="inbound"' : ''}><td>${at}</td><td>${kind}</td><td>${renderOtherSide(sent)}</td><td class="body">${escape(messageOf(sent))}</td><td>${renderState(sent)}</td></tr>`;
}

function renderOtherSide(sent: Sent): string {
  const names = otherSide(sent);
  if (sent.kind === 'email') return escape(names.join(', '));
  return names.map((number) => `<a href="/numbers/${encodeURIComponent(number)}">${escape(number)}</a>`).join(', ');
}

function messageOf(sent: Sent): string {
  if (sent.kind === 'email') return `${sent.subject}\n\n${sent.body}`;
  if (sent.kind === 'text') return sent.body;
  const keys = sent.keys.map((pressed) => `Pressed: ${pressed}`);
  return [...sent.said.map(({ text }) => text), ...keys].join('\n') || '(nothing said yet)';
}

function renderState(sent: Sent): string {
  if (sent.kind === 'email') return 'taken';
  if (sent.kind === 'call') return `${sent.status}${sent.waitsForKey ? renderKeys(sent) : ''}`;
  return sent.errorCode === null ? sent.status : `${sent.status} (${sent.errorCode})`;
}

const KEYS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '0', '#'];

function renderKeys({ id }: SentCall): string {
  const keys = KEYS.map((key) => `<button name="digits" value="${key}">${key}</button>`).join(' ');
  return `<form method="post" action="/calls/${id}/press">${keys}</form>
<form method="post" action="/calls/${id}/hangup"><button>Hang up</button></form>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character] ?? character);
}
