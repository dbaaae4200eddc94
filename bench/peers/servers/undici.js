/** Plain proxying by node:http and undici, nothing else done. */
import { forwardedHeaders, listen } from './listen.js';
import { forward } from './undici-forward.js';

listen((request, response) => forward(request, response, forwardedHeaders(request), undefined));
