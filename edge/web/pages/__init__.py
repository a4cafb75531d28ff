"""The pages, one module a page. Each has `PAGE`; `edge.web.registry` lists them."""
