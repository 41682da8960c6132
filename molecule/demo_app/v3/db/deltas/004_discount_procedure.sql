-- A body with semicolons needs no DELIMITER here.
CREATE PROCEDURE discount(IN percent INT)
BEGIN
    IF percent < 0 OR percent > 90 THEN
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'discount: 0 to 90; nothing was changed';
    END IF;
    UPDATE product SET price_cents = ROUND(price_cents * (100 - percent) / 100);
END;

INSERT INTO product (name, price_cents) VALUES ('Lantern', 1995);

--//@UNDO
DELETE FROM product WHERE name = 'Lantern';

DROP PROCEDURE discount;
