/** Reads TwiML: small documents of elements, attributes and text. Nothing that can make an XML reader fetch or grow. */

export interface Element {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly (Element | string)[];
}

const TOKEN =
  /<\?[^>]*\?>|<!--[^]*?-->|<\/\s*([\w.:-]+)\s*>|<([\w.:-]+)((?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*)\s*(\/?)>|([^<]+)/gy;
const ATTRIBUTE = /([\w.:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;

interface Open {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: (Element | string)[];
}

/** The `Response`, or null where the document is none. */
export function readTwiml(xml: string): Element | null {
  const root: Open = { name: '', attributes: {}, children: [] };
  const open: Open[] = [root];
  let end = 0;
  for (const match of xml.matchAll(TOKEN)) {
    end = match.index + match[0].length;
    if (!take(open, match)) return null;
  }
  const [response, ...more] = root.children.filter((child) => typeof child !== 'string' || child.trim() !== '');
  if (end !== xml.length || open.length !== 1 || more.length > 0) return null;
  return typeof response === 'object' && response.name === 'Response' ? response : null;
}

/** Takes one token; false where it cannot stand there. */
function take(open: Open[], [, closed, opened, attributes = '', selfClosed, text]: RegExpExecArray): boolean {
  const innermost = open.at(-1);
  if (innermost === undefined) return false;
  if (text !== undefined) innermost.children.push(unescape(text));
  if (opened !== undefined) {
    const element = { name: opened, attributes: attributesOf(attributes), children: [] };
    innermost.children.push(element);
    if (selfClosed === '') open.push(element);
  }
  if (closed === undefined) return true;
  open.pop();
  return innermost.name === closed && open.length > 0;
}

function attributesOf(text: string): Record<string, string> {
  return Object.fromEntries(
    [...text.matchAll(ATTRIBUTE)].map(([, name = '', double, single]) => [name, unescape(double ?? single ?? '')]),
  );
}

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replace(/&(#x[\da-f]{1,6}|#\d{1,7}|\w+);/gi, (whole, name: string) => {
    if (!name.startsWith('#')) return NAMED[name] ?? whole;
    const code = /^#x/i.test(name) ? Number.parseInt(name.slice(2), 16) : Number(name.slice(1));
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
  });
}

/** All text within, as it would be heard or read. */
export function textOf({ children }: Element): string {
  return children.map((child) => (typeof child === 'string' ? child : textOf(child))).join('');
}
