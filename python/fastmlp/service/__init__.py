"""A model as a service over HTTP: rows in, answers out.

`samples` reads the body of a request, `predictor` answers, `description` tells what a row is,
`page` is the form in the browser, `application` has the routes and `server` the process.
"""
