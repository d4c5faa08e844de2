#!/usr/bin/env python3
"""Fits the polynomials of codegen/programs/vmath*.cpp: minimax of the relative error, coefficients in binary32.

    pip install numpy mpmath; python3 scripts/vmath_ulp_fit.py

Each fit looks for P with  base(x) + factor(x) * P(u(x))  ~  f(x).  Coefficients are rounded to binary32
one after the other, lowest power first, and those not yet rounded are fitted again after each.
Printed: the largest relative error as a power of two, and the coefficients from the lowest power up.
"""
import mpmath as mp
import numpy as np

mp.mp.dps = 40


def minimax(u, target, weight, degree):
    """Iteratively reweighted least squares (Lawson): min over P of max |weight * (P(u) - target)|."""
    if degree < 0:
        return np.zeros(0)
    centre, half = (u.max() + u.min()) / 2, (u.max() - u.min()) / 2
    basis = np.polynomial.chebyshev.chebvander((u - centre) / half, degree)
    lawson = np.ones(len(u))
    for _ in range(60):
        scale = weight * np.sqrt(lawson)
        c, *_ = np.linalg.lstsq(basis * scale[:, None], target * scale, rcond=None)
        error = np.abs(weight * (basis @ c - target))
        lawson *= error / error.max() + 1e-9
        lawson /= lawson.sum() / len(u)
    cheb = np.polynomial.chebyshev.Chebyshev(c, domain=[u.min(), u.max()])
    return cheb.convert(kind=np.polynomial.Polynomial).coef


def fit(name, degree, lo, hi, f, base, factor, u, points=1500):
    nodes = [mp.mpf(lo) + (mp.mpf(hi) - lo) * (1 - mp.cos(mp.pi * (i + 0.5) / points)) / 2 for i in range(points)]
    nodes = [x for x in nodes if abs(x) > 1e-6]
    exact = [f(x) for x in nodes]
    target = np.array([float((y - base(x)) / factor(x)) for x, y in zip(nodes, exact)])
    weight = np.array([float(abs(factor(x) / y)) for x, y in zip(nodes, exact)])
    us = np.array([float(u(x)) for x in nodes])
    rounded, rest, power = [], target.copy(), np.ones(len(us))
    for k in range(degree + 1):
        c = minimax(us, rest, weight * np.abs(power), degree - k)
        rounded.append(float(np.float32(c[0])))
        # (rest - c0)/u is what the remaining powers have to match, weighted by one more power of u.
        power = power * us
        rest = (rest - rounded[-1]) / us
    poly = sum(c * us**k for k, c in enumerate(rounded))
    error = np.max(np.abs(weight * (poly - target)))
    print(f"{name}: degree {degree}, [{lo}, {hi}], relative error 2^{np.log2(error):.2f}")
    print("    " + ", ".join(f"{c:.9g}F" for c in rounded))
    return error


def half_mills(x):
    """exp(x^2/2) * Phi(-x), where Phi is the normal distribution function."""
    return mp.exp(x * x / 2) * mp.erfc(x / mp.sqrt(2)) / 2


def main():
    zero = lambda x: mp.mpf(0)
    ident = lambda x: x
    square = lambda x: x * x
    cube = lambda x: x**3
    fit("exp = 1 + r + r^2 P(r)", 4, -0.34665, 0.34665, mp.exp, lambda x: 1 + x, square, ident)
    fit("expm1 = r + r^2 P(r)", 5, -0.34665, 0.34665, mp.expm1, ident, square, ident)
    fit("2 atanh(z/2) = z + z^3 P(z^2)", 3, 0, 0.66668, lambda z: 2 * mp.atanh(z / 2), ident, cube, square)
    fit("tanh = x + x^3 P(x^2)", 4, 0, 0.6, mp.tanh, ident, cube, square)
    fit("x - tanh = x^3 P(x^2)", 7, 0, 1.0, lambda x: x - mp.tanh(x), zero, cube, square)
    fit("half_mills = P((x-2)/(x+2))/(x+2)", 10, 0, 14.5, half_mills, zero,
        lambda x: 1 / (x + 2), lambda x: (x - 2) / (x + 2))


if __name__ == "__main__":
    main()
