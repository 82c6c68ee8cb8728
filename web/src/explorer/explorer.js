/* global YogaGraphiQL */
const WORKERS = { json: 'json-worker', graphql: 'graphql-worker', editorWorkerService: 'editor-worker' };
self.MonacoEnvironment = {
  globalAPI: false,
  getWorkerUrl: (_module, label) => `/graphiql/${WORKERS[label]}.js`,
};

const CSRF = { 'x-careflex-csrf': '1' };
const form = document.querySelector('#sign-in');
const signOut = document.querySelector('#sign-out');
const status = document.querySelector('#status');

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void signIn();
});
signOut.addEventListener('click', () => void endSession());

async function signIn() {
  const { email, password } = Object.fromEntries(new FormData(form));
  const response = await fetch('/session', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...CSRF },
    body: JSON.stringify({ email, password }),
  });
  form.elements.password.value = '';
  if (response.ok) return showViewer();
  const { errors } = await response.json();
  status.textContent = errors[0].message;
}

async function endSession() {
  await fetch('/session', { method: 'DELETE', headers: CSRF });
  await showViewer();
}

async function showViewer() {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...CSRF },
    body: JSON.stringify({ query: '{ me { role email } }' }),
  });
  const viewer = (await response.json()).data?.me ?? null;
  form.hidden = viewer !== null;
  signOut.hidden = viewer === null;
  status.textContent = viewer === null ? 'Not signed in' : `Signed in as ${viewer.email ?? viewer.role.toLowerCase()}`;
}

await showViewer();
YogaGraphiQL.renderYogaGraphiQL(document.querySelector('#graphiql'), {
  endpoint: '/graphql',
  title: 'CareFlex API explorer',
  credentials: 'same-origin',
  additionalHeaders: CSRF,
  headers: JSON.stringify(CSRF),
  subscriptionsProtocol: 'WS',
  defaultQuery: '{\n  me {\n    role\n    email\n  }\n}\n',
});
