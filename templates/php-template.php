<?php
// Fills in nginx' configuration: template.php TEMPLATE OUTPUT.
//
// The language is nixpacks': ${NAME} is a variable of the environment, $if(NAME) (...) else (...) asks whether one is
// set, and $!{nginx}/conf is where nginx keeps its own files.

[, $template, $output] = $argv;

$variables = getenv();
$variables['PORT'] ??= '80';
$variables['POST_MAX_SIZE'] = (string) bytes(ini_get('post_max_size'));

function bytes(string $size): int
{
    $units = ['k' => 1024, 'm' => 1024 ** 2, 'g' => 1024 ** 3];
    return (int) $size * ($units[strtolower(substr($size, -1))] ?? 1);
}

function fill(string $text, array $variables): string
{
    $text = preg_replace_callback(
        '/\$if\s*\((\w+)\)\s*\((.*?)\)\s*else\s*\((.*?)\)/s',
        fn ($match) => fill(($variables[$match[1]] ?? '') === '' ? $match[3] : $match[2], $variables),
        $text
    );
    $text = str_replace(['$!{nginx}/conf', '$!{nginx}'], ['/etc/nginx', '/usr/share/nginx'], $text);
    return preg_replace_callback('/\${(\w+)}/', fn ($match) => $variables[$match[1]] ?? '', $text);
}

if (!preg_match('/^\d{1,5}$/', $variables['PORT'])) {
    fwrite(STDERR, "PORT is no number: {$variables['PORT']}\n");
    exit(1);
}
$text = fill(file_get_contents($template), $variables);
if (!file_exists('/proc/net/if_inet6')) {
    // nginx refuses to start where the kernel has no IPv6.
    $text = preg_replace('/^\s*listen\s+\[::\].*;\s*$/m', '', $text);
}
if (file_put_contents($output, $text) === false) {
    exit(1);
}
