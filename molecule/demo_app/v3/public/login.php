<?php

// SPDX-License-Identifier: GPL-3.0-or-later

declare(strict_types=1);

namespace Shop;

require __DIR__ . '/../src/shop.php';

boot();
$failed = false;
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $name = is_string($_POST['user'] ?? null) ? $_POST['user'] : '';
    $password = is_string($_POST['password'] ?? null) ? $_POST['password'] : '';
    $found = rows('SELECT name, role, password_hash FROM shop_user WHERE name = ?', [$name]);
    if ($found !== [] && password_verify($password, $found[0]['password_hash'])) {
        session();
        session_regenerate_id(true);
        $_SESSION['user'] = ['name' => $found[0]['name'], 'role' => $found[0]['role']];
        redirect('/');
    }
    $failed = true;
    http_response_code(401);
}

ob_start();
?>
<section class="card">
  <h1>Log in</h1>
  <?php if ($failed): ?>
    <p class="problem" role="alert">This user and password do not match.</p>
  <?php endif ?>
  <form method="post" action="/login.php">
    <label>User <input name="user" autocomplete="username" required autofocus></label>
    <label>Password <input name="password" type="password" autocomplete="current-password" required></label>
    <button>Log in</button>
  </form>
</section>
<?php
$title = 'Log in · Lamp Shop';
$content = ob_get_clean();
require __DIR__ . '/../src/page.php';
