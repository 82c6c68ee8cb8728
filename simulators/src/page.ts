/** The page that shows every text and e-mail, newest first. It looks again every few seconds. */
import type { Sent } from './outbox.ts';

const STYLE = `
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1d2733 }
  table { border-collapse: collapse; width: 100% }
  th, td { border-bottom: 1px solid #dfe5ec; padding: .5rem; text-align: left; vertical-align: top }
  td.body { white-space: pre-wrap }
  caption { text-align: left; padding-bottom: 1rem; color: #5b6875 }`;

export function renderPage(sent: readonly Sent[]): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="refresh" content="3">
<title>Sent messages · CareFlex simulators</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Sent messages</h1>
<table>
<caption>Texts and e-mails that CareFlex has sent. They reach nobody. Also as <a href="/messages.json">JSON</a>.</caption>
<thead><tr><th scope="col">At (UTC)</th><th scope="col">Kind</th><th scope="col">To</th><th scope="col">Message</th></tr></thead>
<tbody>
${sent.map(renderRow).join('\n') || '<tr><td colspan="4">Nothing yet.</td></tr>'}
</tbody>
</table>
</body>
</html>
`;
}

function renderRow(sent: Sent): string {
  const message = sent.kind === 'email' ? `${sent.subject}\n\n${sent.body}` : sent.body;
  const to = sent.kind === 'email' ? sent.to.join(', ') : sent.to;
  const at = sent.at.toString({ smallestUnit: 'second' }).replace('T', ' ').replace('Z', '');
  return `<tr><td>${at}</td><td>${sent.kind}</td><td>${escape(to)}</td><td class="body">${escape(message)}</td></tr>`;
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
