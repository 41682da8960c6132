-- One row per variable of a session; the row in lamp_session says whether they count.
CREATE TABLE IF NOT EXISTS lamp_session_variable (
  session_id BINARY(32) NOT NULL,
  name_hash BINARY(32) NOT NULL,
  name BLOB NOT NULL,
  value MEDIUMBLOB NOT NULL,
  updated_at INT UNSIGNED NOT NULL,
  PRIMARY KEY (session_id, name_hash)
) ENGINE=InnoDB;

-- //@UNDO
DROP TABLE lamp_session_variable;
