/** The simulated provider of the reminders bench, in a process of its own. */
import { once } from 'node:events';
import { startSimulators } from '@careflex/simulators/main';

const [options] = (await once(process, 'message')) as [Parameters<typeof startSimulators>[0]];
const { url } = await startSimulators(options);
process.once('disconnect', () => process.exit());
process.send?.(url);
