// Events: today's table is loaded again; the server answers 304 while nothing happens.

import { refresh } from "/static/refresh.js";

refresh("events", 5000);
