/** The simulators in a process of their own: told the options by its parent, tells where they are. */
import { once } from 'node:events';
import { startSimulators } from '@careflex/simulators/main';

const [options] = (await once(process, 'message')) as [Parameters<typeof startSimulators>[0]];
const simulators = await startSimulators(options);
process.once('disconnect', () => process.exit());
process.send?.({ url: simulators.url, smtpUrl: simulators.smtpUrl });
