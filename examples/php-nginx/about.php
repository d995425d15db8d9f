<?php
header('Content-Type: application/json');
echo json_encode(['path' => $_SERVER['PATH_INFO'] ?? '', 'query' => $_GET]), "\n";
