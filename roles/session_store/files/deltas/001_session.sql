-- Sessions, one row each. Ids are SHA-256 of what the cookie holds: who reads this table can take over no session.
CREATE TABLE IF NOT EXISTS lamp_session (
  id BINARY(32) NOT NULL PRIMARY KEY,
  data MEDIUMBLOB NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL,
  created_at INT UNSIGNED NOT NULL,
  updated_at INT UNSIGNED NOT NULL,
  expires_at INT UNSIGNED NOT NULL,
  KEY expires_at (expires_at)
) ENGINE=InnoDB;

-- A session counts while its epoch is the current one: raising this number ends them all at once.
CREATE TABLE IF NOT EXISTS lamp_session_epoch (
  name VARCHAR(64) NOT NULL PRIMARY KEY,
  epoch BIGINT UNSIGNED NOT NULL
) ENGINE=InnoDB;

INSERT IGNORE INTO lamp_session_epoch (name, epoch) VALUES ('lamp_session', 1);

-- //@UNDO
DROP TABLE lamp_session;
DROP TABLE lamp_session_epoch;
