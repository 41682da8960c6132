-- Who can log in. The demo user's password is "demo".
CREATE TABLE shop_user (
    name VARCHAR(50) NOT NULL PRIMARY KEY,
    password_hash VARCHAR(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

INSERT INTO shop_user (name, password_hash) VALUES
    ('demo', '$2y$10$4KVbWwcwhUMWgBlhz6L1DuwsRsXM3QO5ZZlcEF5R5GcahyyYszLz6');

--//@UNDO
DROP TABLE shop_user;
