<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Shop;

require __DIR__ . '/../src/shop.php';

boot();
session();
$count = count_visit();
$products = rows('SELECT id, name, price_cents FROM product ORDER BY id');
$user = $_SESSION['user'] ?? null;
session_write_close();

ob_start();
?>
<section class="card">
  <?php if ($user === null): ?>
    <p id="login-state">You are not logged in. <a href="/login.php">Log in</a></p>
  <?php else: ?>
    <form method="post" action="/logout.php">
      <p id="login-state">Logged in as <b><?= e($user['name']) ?></b> (<?= e($user['role']) ?>) <button>Log out</button></p>
    </form>
  <?php endif ?>
  <p>This session made <b id="count"><?= e($count) ?></b> requests.</p>
  <ul class="hosts">
    <?php foreach ($_SESSION['hosts'] as $name => $requests): ?>
      <li><?= e($name) ?> <b><?= e($requests) ?></b></li>
    <?php endforeach ?>
  </ul>
</section>
<section class="card">
  <h1>Lamps</h1>
  <table id="products">
    <thead><tr><th>Name</th><th>Price</th></tr></thead>
    <tbody>
      <?php foreach ($products as $product): ?>
        <tr><td><?= e($product['name']) ?></td><td><?= e(price($product['price_cents'])) ?></td></tr>
      <?php endforeach ?>
    </tbody>
  </table>
</section>
<?php
$title = 'Lamp Shop';
$content = ob_get_clean();
require __DIR__ . '/../src/page.php';
