-- The lamps that the shop sells.
CREATE TABLE product (
    id INT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(100) NOT NULL,
    price DECIMAL(8,2) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4;

INSERT INTO product (name, price) VALUES
    ('Desk lamp "Anna"', 39.90),
    ('Floor lamp; tall', 129.00),
    ('Lava lamp <orange>', 24.50);

--//@UNDO
DROP TABLE product;
