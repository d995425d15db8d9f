<?php
$visits = count(glob('notes/*.txt'));
$body = file_get_contents('php://input');
?>
<!doctype html>
<title>Limits</title>
<link rel="stylesheet" href="/site.css">
<h1>hello from php</h1>
<p>memory_limit is <?= ini_get('memory_limit') ?>, and <?= strlen($body) ?> bytes came in.</p>
<p>There are <?= $visits ?> notes, the newest: <?= htmlspecialchars(trim(file_get_contents('notes/one.txt'))) ?></p>
