<?php

namespace Example;

use NumberFormatter;

final class Greeting
{
    public function __construct(private string $name)
    {
    }

    public function __toString(): string
    {
        $letters = (new NumberFormatter('en', NumberFormatter::SPELLOUT))->format(mb_strlen($this->name));
        return "hello {$this->name}, {$letters} letters";
    }
}
