/** A real OpenID Connect issuer (`oidc-provider`) on a port of its own, whose keys can be rotated. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWK } from 'jose';
import { Provider } from 'oidc-provider';

export type Algorithm = 'RS256' | 'PS256' | 'ES256' | 'EdDSA' | 'RS512';

export interface TestIssuer extends AsyncDisposable {
  readonly url: string;
  /** The public half of the key that signs now. */
  readonly publicKey: () => JWK;
  /** A token of the client credentials grant; the client's id is its subject. */
  token(client: Client, request?: TokenRequest): Promise<string>;
  /** From now on another key signs, and the old one is no longer published. */
  rotate(): Promise<void>;
  /** Whether it answers when it is asked for its keys. */
  publishKeys(willing: boolean): void;
}

/** What the issuer says of a client beside its id. */
export interface Client {
  readonly id: string;
  readonly claims?: object;
}

export interface TokenRequest {
  readonly audience?: string;
  readonly algorithm?: Algorithm;
  readonly seconds?: number;
}

export const AUDIENCE = 'https://api.careflex.example';

export async function startIssuer(port = 0): Promise<TestIssuer> {
  let current: Awaited<ReturnType<typeof newProvider>> | undefined;
  let willing = true;
  const wanted: Wanted = { claims: {}, algorithm: 'RS256', seconds: 600 };
  const server = createServer((request, response) => {
    if (request.url === '/jwks' && !willing) response.writeHead(503).end();
    else current?.provider.callback()(request, response);
  });
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const rotate = async () => void (current = await newProvider(url, wanted));
  await rotate();

  return {
    url,
    rotate,
    publishKeys: (publish) => void (willing = publish),
    publicKey: () => current?.keys[0]?.public ?? {},
    async token({ id, claims = {} }, { audience = AUDIENCE, algorithm = 'RS256', seconds = 600 } = {}) {
      Object.assign(wanted, { claims, algorithm, seconds });
      const response = await fetch(`${url}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${id}:secret`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'client_credentials', resource: audience }),
      });
      const answer = (await response.json()) as { access_token?: string };
      if (answer.access_token === undefined) throw new Error(JSON.stringify(answer));
      return answer.access_token;
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Wanted {
  claims: object;
  algorithm: Algorithm;
  seconds: number;
}

async function newProvider(url: string, wanted: Wanted) {
  const keys = await Promise.all(
    (['RS256', 'ES256', 'EdDSA'] as const).map(async (algorithm) => {
      const pair = await generateKeyPair(algorithm, { extractable: true });
      return { private: await exportJWK(pair.privateKey), public: await exportJWK(pair.publicKey) };
    }),
  );
  const provider = new Provider(url, {
    jwks: { keys: keys.map((key) => key.private) },
    cookies: { keys: ['test'] },
    ttl: { ClientCredentials: () => wanted.seconds },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, audience: string) => ({
          scope: '',
          audience,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: wanted.algorithm } },
        }),
      },
    },
    extraTokenClaims: () => wanted.claims,
    adapter: clientsOnDemand(),
  });
  return { provider, keys };
}

/** Every client that is asked for exists; its secret is none. */
function clientsOnDemand() {
  return class {
    readonly #model: string;
    constructor(model: string) {
      this.#model = model;
    }
    async find(id: string): Promise<object | undefined> {
      if (this.#model !== 'Client') return undefined;
      return {
        client_id: id,
        client_secret: 'secret',
        grant_types: ['client_credentials'],
        response_types: [],
        redirect_uris: [],
      };
    }
    async upsert(): Promise<void> {}
  };
}
