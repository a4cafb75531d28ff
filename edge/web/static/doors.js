// Doors: the table is loaded again. The server asks the database at most every 15 s.

import { refresh } from "/static/refresh.js";

refresh("doors", 15000);
