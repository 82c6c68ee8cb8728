/** The whole schema: each context adds its own part to the builder. */
import './scalars.ts';
import './patients.ts';
import './accounts.ts';
import './users.ts';
import './audit.ts';
import './directory.ts';
import './appointments.ts';
import './appointment-changes.ts';
import './appointment-events.ts';
import './presence.ts';
import './series.ts';
import './day-board.ts';
import './tasks.ts';
import './availability.ts';
import './provider-directory.ts';
import './jobs.ts';
import './integrations.ts';
import './benefits.ts';
import './benefits-sync.ts';
import './templates.ts';
import './consents.ts';
import './notifications.ts';
import './risk.ts';
import { builder } from './builder.ts';

export const schema = builder.toSchema();
