<?php

// SPDX-License-Identifier: GPL-3.0-or-later
// A small application of Symfony's: it counts a visitor's requests, and gives a new session to who logs in or out.

declare(strict_types=1);

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpKernel\Kernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

require 'Symfony/Bundle/FrameworkBundle/autoload.php';
require 'Symfony/Component/Yaml/autoload.php';
require 'Composer/InstalledVersions.php';
require __DIR__ . '/../src/SharedSessions.php';

final class Shop extends Kernel
{
    use MicroKernelTrait;

    public function registerBundles(): iterable
    {
        yield new FrameworkBundle();
    }

    public function getProjectDir(): string
    {
        return dirname(__DIR__);
    }

    public function count(Request $request): JsonResponse
    {
        $session = $request->getSession();
        $session->set('count', $session->get('count', 0) + 1);

        return new JsonResponse(['user' => $session->get('user'), 'count' => $session->get('count')]);
    }

    public function login(Request $request): JsonResponse
    {
        $session = $request->getSession();
        $session->set('user', $request->query->get('user'));
        $session->migrate(true);

        return new JsonResponse();
    }

    public function logout(Request $request): JsonResponse
    {
        $session = $request->getSession();
        $user = $session->get('user'); // as Symfony's firewall does: it ends a session that was started
        $session->invalidate();

        return new JsonResponse(['was' => $user]);
    }

    private function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', [
            'secret' => 'of-a-test', 'http_method_override' => false, 'php_errors' => ['log' => true],
            'session' => ['storage_factory_id' => 'session.storage.factory.native', 'cookie_secure' => 'auto'],
        ]);
        $container->import($this->getProjectDir() . '/config/framework.yaml');
    }

    private function configureRoutes(RoutingConfigurator $routes): void
    {
        foreach (['count', 'login', 'logout'] as $name) {
            $routes->add($name, "/$name")->controller([self::class, $name]);
        }
    }
}

$kernel = new Shop('prod', false);
$request = Request::createFromGlobals();
$response = $kernel->handle($request);
$response->send();
$kernel->terminate($request, $response);
