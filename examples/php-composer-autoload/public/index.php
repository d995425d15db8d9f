<?php

use Example\Greeting;

require __DIR__ . '/../vendor/autoload.php';

$name = trim(rawurldecode(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)), '/');
echo new Greeting($name ?: 'world'), ', ', file_get_contents(__DIR__ . '/../built.txt'), "\n";
