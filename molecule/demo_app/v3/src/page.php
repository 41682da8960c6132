<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// The frame of every HTML page. Expects $title and $content (HTML that is escaped already).

declare(strict_types=1);

use function Shop\{e, host, release, version};

header('Content-Type: text/html; charset=utf-8');
?>
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title><?= e($title) ?></title>
  <link rel="icon" href="/media/logo.svg">
  <link rel="stylesheet" href="/style.css">
</head>
<body class="<?= e(version()) ?>">
  <header>
    <a class="brand" href="/"><img src="/media/logo.svg" alt="" width="36" height="36"> Lamp Shop</a>
    <span class="badge">Release <b id="release"><?= e(version()) ?></b></span>
  </header>
  <main>
    <?= $content ?>
  </main>
  <footer>
    Answered by <b id="host"><?= e(host()) ?></b> · release <b id="release-id"><?= e(release()) ?></b>
  </footer>
</body>
</html>
