-- From v2 on a session holds the user's role as well, so the sessions of v1 have to go.
-- @DROP-SESSIONS
ALTER TABLE shop_user ADD COLUMN role VARCHAR(20) NOT NULL DEFAULT 'customer';

--//@UNDO
ALTER TABLE shop_user DROP COLUMN role;
