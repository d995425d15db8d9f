<?php
$manifest = json_decode(file_get_contents(__DIR__ . '/dist/.vite/manifest.json'), true);
$entry = $manifest['assets/main.js'];
?>
<!doctype html>
<title>Vite</title>
<?php foreach ($entry['css'] ?? [] as $file): ?>
<link rel="stylesheet" href="/dist/<?= $file ?>">
<?php endforeach ?>
<script type="module" src="/dist/<?= $entry['file'] ?>"></script>
<p>bundled into <?= $entry['name'] ?></p>
