-- Prices become whole cents: v2 reads price_cents, v1 reads price, and neither works with the other's table.
ALTER TABLE product ADD COLUMN price_cents INT UNSIGNED NOT NULL DEFAULT 0;

UPDATE product SET price_cents = ROUND(price * 100);

ALTER TABLE product DROP COLUMN price;

--//@UNDO
ALTER TABLE product ADD COLUMN price DECIMAL(8,2) NOT NULL DEFAULT 0;

UPDATE product SET price = price_cents / 100;

ALTER TABLE product DROP COLUMN price_cents;
