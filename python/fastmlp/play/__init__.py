"""A playground: networks that learn while somebody watches, in the browser.

`settings` are checked where they enter, `recipes` are the data sets and inputs, `program` makes
network and optimizer of settings, and the text of the program that does the same. `course` is a
training that stops at any step with the bits of one that was never cut. `picture` and `digits` are
what the two pages draw of it, `session` obeys the orders of a tab, `live` keeps all sessions and
their events, `application` has the routes and `pages` the files of the browser.
"""
