"""What the door shows to the page in the browser: the newest frame and decision, over a Unix socket."""
